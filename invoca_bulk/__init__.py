"""Create and manage Invoca advertisers and promo numbers in bulk, from spreadsheets and DataFrames."""
