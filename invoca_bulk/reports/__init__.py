"""What people look at: reports of validation and plan, results, templates, workbooks, HTML, progress."""
