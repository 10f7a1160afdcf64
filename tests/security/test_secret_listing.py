"""The security requirements and the tests that check each of them.

File names without a folder are in `tests/security`; `../` is `tests`.

Token
- header only
    ../transport/test_client.py::test_token_is_only_in_the_header
    test_network.py::test_no_option_disables_verification
    ../contract/test_errors.py::test_token
- logs
    test_token.py::test_debug_logs_do_not_contain_the_token
    test_token.py::test_debug_logs_of_a_run_do_not_contain_the_token
- masked, not pickled
    ../config/test_settings.py::test_token_is_masked
    ../config/test_settings.py::test_token_is_not_pickled
    test_token.py::test_records_do_not_show_the_token
    test_token.py::test_network_is_not_serialized
    test_token.py::test_client_is_not_pickled
- exceptions without httpx errors behind them
    ../transport/test_client.py::test_every_httpx_exception_has_a_text
    test_token.py::test_exceptions_do_not_hold_the_token
    test_token.py::test_environment_errors_do_not_hold_the_token
- echoed by the platform
    ../execution/test_executor.py::test_token_is_redacted_in_responses
    test_token.py::test_echoed_token_is_masked
    test_token.py::test_no_output_contains_the_token
    test_token.py::test_token_with_quote_or_backslash_is_refused
- files
    ../journal/test_journal.py::test_no_token_in_the_journal
    ../reports/test_plan_report.py::test_no_secret_gets_out
    ../reports/test_plan_file.py::test_the_file_is_the_users_own
    ../test_notebooks.py::test_without_outputs
- the platform's own secrets
    ../transport/test_client.py::test_secrets_in_responses_are_dropped
    ../sheets/test_dataframes.py::test_secrets_are_dropped
    ../execution/test_updates.py::test_no_secret_is_in_the_journal
    test_token.py::test_no_output_contains_refresh_tokens
    test_token.py::test_refresh_token_in_plain_text_is_masked

Connections
- plain HTTP on loopback only
    ../config/test_settings.py::test_bad_base_url_is_refused
    test_network.py::test_lookalike_base_url_is_refused
    test_network.py::test_no_proxy_is_used_for_loopback
- TLS
    test_network.py::test_untrusted_certificate_is_refused
    test_network.py::test_certificate_can_be_trusted
    test_network.py::test_no_option_disables_verification
- redirects
    ../transport/test_client.py::test_redirect_is_not_followed
    test_network.py::test_redirect_target_gets_nothing

Ids in URLs
- one path segment each
    ../transport/test_client.py::test_any_id_is_a_single_path_part
    ../transport/test_client.py::test_id_that_would_change_the_path_is_refused
    ../config/test_settings.py::test_network_id_that_would_change_the_path_is_refused
    test_network.py::test_id_is_one_path_segment
    test_network.py::test_id_that_would_change_the_path_is_an_error
    test_network.py::test_id_from_the_platform_cannot_change_the_path
    test_network.py::test_network_id_is_letters_and_digits
    test_network.py::test_too_long_url_is_refused

Sheets
- sizes and ratio
    ../sheets/test_refusals.py::test_a_file_that_cannot_be_read_is_refused_in_two_sentences
    ../sheets/test_refusals.py::test_a_file_over_the_limit_is_refused_before_it_is_read
    test_sheets.py::test_zip_bomb_in_many_parts_is_refused
    test_sheets.py::test_nested_zip_bomb_is_not_unpacked
- distant cells
    test_sheets.py::test_xml_tricks_cannot_hide_a_distant_cell
    test_sheets.py::test_duplicate_part_cannot_hide_a_distant_cell
    test_sheets.py::test_cell_limit_covers_all_sheets_together
    test_sheets.py::test_encoding_cannot_hide_a_distant_cell
    test_sheets.py::test_escaped_reference_cannot_hide_a_distant_cell
- long CSV fields
    ../sheets/test_csv_reader.py::test_a_cell_over_the_limit_is_cut_and_marked
- entities
    test_sheets.py::test_entities_are_not_resolved
    test_sheets.py::test_ods_entities_are_not_resolved
    test_sheets.py::test_package_imports_no_xml_parser
    test_sheets.py::test_read_excel_refuses_entities
- macros and links
    test_sheets.py::test_macros_and_links_are_dropped

Formulas
- in xlsx and CSV
    ../sheets/test_csv_safety.py::test_rule
    ../sheets/test_csv_safety.py::test_round_trip
    ../sheets/test_csv_safety.py::test_escaped_texts_are_not_formulas
    ../reports/test_xlsx.py::test_text_stays_text
    ../sheets/test_csv_reader.py::test_escaped_formulas_are_unescaped
    test_outputs.py::test_no_sheet_cell_is_written_as_a_formula
    test_outputs.py::test_no_response_is_written_as_a_formula
    test_outputs.py::test_export_has_no_formula_and_plans_as_unchanged
    test_outputs.py::test_templates_have_no_formula
    test_outputs.py::test_csv_cell_with_delimiters_stays_one_cell

Outputs
- written atomically and synced
    ../reports/test_files.py::test_failure_leaves_no_trace
    test_outputs.py::test_file_is_synced_before_it_is_renamed
- mode 0600
    ../reports/test_files.py::test_mode
    test_outputs.py::test_outputs_are_private
    ../journal/test_journal.py::test_files_are_private
- never over the input
    ../reports/test_files.py::test_never_over_the_input
    test_outputs.py::test_no_output_overwrites_the_input
- never through a symlink
    ../reports/test_files.py::test_refused
    test_outputs.py::test_no_output_follows_a_symlink
    test_outputs.py::test_symlink_created_during_the_write_is_replaced

The page
- this machine only
    ../browser/test_page.py::test_it_listens_on_this_machine_only
- one-time token, Host and Origin
    ../browser/test_page.py::test_the_link_works_once
    ../browser/test_page.py::test_other_clients_are_rejected
- size cap
    ../web/test_web.py::test_an_upload_has_a_size_cap
    ../browser/test_page.py::test_a_large_file_is_uploaded_in_chunks
- everything escaped, no path
    ../browser/test_page.py::test_markup_in_a_sheet_is_shown_as_text
    ../web/test_web.py::test_a_file_name_is_not_used_as_a_path
- no token stored
    ../web/test_web.py::test_other_users_cannot_read_the_token
    ../web/test_web.py::test_widget_state_contains_no_user_data
    ../browser/test_page.py::test_a_wrong_token_can_be_corrected
    ../browser/test_in_jupyterlab.py::test_from_a_sheet_to_its_results_in_a_cell

Responses
- size
    ../transport/test_client.py::test_response_size_is_limited
    test_network.py::test_endless_response_is_cut_off
    test_network.py::test_unrequested_encoding_is_not_decompressed
    test_network.py::test_endless_headers_are_cut_off
    test_network.py::test_repeated_encoding_header_is_not_decompressed
- time
    ../transport/test_client.py::test_slow_response_times_out
- shape
    test_network.py::test_malicious_json_is_dropped
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
LISTED = re.findall(r"([\w./]+\.py)::(\w+)", __doc__ or "")


@pytest.mark.parametrize(("file", "name"), LISTED)
def test_every_listed_test_exists(file: str, name: str) -> None:
    """If a test is renamed or removed, its line in the list is too."""
    assert f"def {name}(" in (FOLDER / file).read_text(encoding="utf-8")


def test_every_test_of_this_folder_is_listed() -> None:
    """Every test of this folder has a line in the list, except controls, which show that another test can fail."""
    controls = {"test_single_compression_is_read", "test_log_filters_are_removed_with_the_client"}
    defined = {
        (path.name, name)
        for path in FOLDER.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    missing = {name for file, name in defined - set(LISTED) if file != Path(__file__).name} - controls
    assert missing == set()
