"""The security list, line by line, and the tests that fail where a line does not hold.

A name without a folder is below `tests/security`, `../` is `tests`.

Token
- header only
    ../transport/test_client.py::test_token_goes_into_the_header_only
    test_network.py::test_there_is_no_switch
    ../contract/test_errors.py::test_token
- logs
    test_token.py::test_a_log_of_everything_does_not_hold_the_token
    test_token.py::test_a_whole_run_can_be_logged
- masked, not pickled
    ../config/test_settings.py::test_token_shows_itself_to_nobody
    ../config/test_settings.py::test_token_is_not_pickled
    test_token.py::test_no_record_shows_it
    test_token.py::test_a_network_is_not_packed
    test_token.py::test_a_client_is_not_pickled
- own exceptions, nothing behind them
    ../transport/test_client.py::test_every_exception_of_httpx_has_words
    test_token.py::test_an_exception_leads_nowhere
    test_token.py::test_a_broken_environment_leads_nowhere
- echoed by the platform
    ../execution/test_executor.py::test_the_token_is_blotted_out_of_answers
    test_token.py::test_an_echo_is_blotted_out
    test_token.py::test_nothing_that_is_written_or_printed_holds_it
    test_token.py::test_a_token_that_could_not_be_found_again_is_refused
- files
    ../journal/test_journal.py::test_no_token_in_the_journal
    ../reports/test_plan_report.py::test_no_secret_gets_out
    ../reports/test_plan_file.py::test_the_file_is_the_users_own
    ../test_notebooks.py::test_without_outputs
- the platform's own secrets
    ../transport/test_client.py::test_secrets_of_answers_are_dropped
    ../sheets/test_dataframes.py::test_a_secret_is_never_kept
    ../execution/test_updates.py::test_no_secret_is_in_the_journal
    test_token.py::test_refresh_tokens_get_nowhere
    test_token.py::test_a_refresh_token_in_a_plain_text

Connections
- plain HTTP on loopback only
    ../config/test_settings.py::test_base_url_that_is_refused
    test_network.py::test_a_place_that_only_looks_like_one_is_refused
    test_network.py::test_no_proxy_gets_what_is_meant_for_this_machine
- TLS
    test_network.py::test_a_certificate_that_cannot_be_verified_ends_it
    test_network.py::test_a_certificate_can_be_added
    test_network.py::test_there_is_no_switch
- redirects
    ../transport/test_client.py::test_redirect_is_not_followed
    test_network.py::test_a_redirect_takes_nothing_along

Ids in addresses
- one part each
    ../transport/test_client.py::test_any_id_is_one_part_of_the_path
    ../transport/test_client.py::test_id_that_would_change_the_path_is_refused
    ../config/test_settings.py::test_network_id_that_would_change_the_path_is_refused
    test_network.py::test_an_id_arrives_as_one_part
    test_network.py::test_an_id_that_would_change_the_address_is_an_error
    test_network.py::test_an_id_of_the_platform_cannot_change_it_either
    test_network.py::test_a_network_id_is_letters_and_digits
    test_network.py::test_an_address_that_is_too_long_is_refused

Sheets
- sizes and ratio
    ../sheets/test_refusals.py::test_a_file_that_cannot_be_read_is_refused_in_two_sentences
    ../sheets/test_refusals.py::test_a_file_over_the_limit_is_refused_before_it_is_read
    test_sheets.py::test_a_bomb_in_many_parts_is_refused
    test_sheets.py::test_a_bomb_inside_a_file_is_not_touched
- cells far away
    test_sheets.py::test_no_spelling_hides_a_cell_far_away
    test_sheets.py::test_two_parts_of_one_name_cannot_hide_one
    test_sheets.py::test_many_sheets_have_no_more_cells_than_one
    test_sheets.py::test_another_encoding_cannot_hide_a_cell_far_away
    test_sheets.py::test_an_escaped_reference_cannot_hide_a_cell_far_away
- long CSV fields
    ../sheets/test_csv_reader.py::test_a_cell_over_the_limit_is_cut_and_marked
- entities
    test_sheets.py::test_entities_are_not_resolved
    test_sheets.py::test_entities_of_open_document_are_not_resolved
    test_sheets.py::test_no_xml_parser_is_ours
    test_sheets.py::test_pandas_is_safe_beside_us
- macros and links
    test_sheets.py::test_macros_and_links_are_left_behind

Formulas
- in xlsx and CSV
    ../sheets/test_csv_safety.py::test_rule
    ../sheets/test_csv_safety.py::test_round_trip
    ../sheets/test_csv_safety.py::test_nothing_runs
    ../reports/test_xlsx.py::test_text_stays_text
    ../sheets/test_csv_reader.py::test_our_guard_against_formulas_is_taken_off
    test_outputs.py::test_no_cell_of_a_sheet_comes_back_as_a_formula
    test_outputs.py::test_no_answer_comes_back_as_a_formula
    test_outputs.py::test_an_export_is_no_formula_and_plans_as_unchanged
    test_outputs.py::test_templates_hold_no_formula
    test_outputs.py::test_the_text_of_a_cell_is_the_cell

Outputs
- whole, and synced
    ../reports/test_files.py::test_failure_leaves_no_trace
    test_outputs.py::test_a_file_is_on_the_disk_before_it_has_its_name
- mode 0600
    ../reports/test_files.py::test_mode
    test_outputs.py::test_every_output_is_the_users_own
    ../journal/test_journal.py::test_files_are_the_users_own
- never over the input
    ../reports/test_files.py::test_never_over_the_input
    test_outputs.py::test_no_output_goes_over_the_input
- never through a link
    ../reports/test_files.py::test_refused
    test_outputs.py::test_no_output_goes_through_a_link
    test_outputs.py::test_a_link_that_comes_while_it_is_written_is_replaced

The page
- this machine only
    ../browser/test_page.py::test_it_listens_on_this_machine_only
- one-time token, Host and Origin
    ../browser/test_page.py::test_the_link_works_once
    ../browser/test_page.py::test_strangers_get_nothing
- size cap
    ../web/test_web.py::test_an_upload_has_a_size_cap
    ../browser/test_page.py::test_a_large_file_goes_in_pieces
- nothing unescaped, no path
    ../browser/test_page.py::test_what_a_sheet_says_is_never_run
    ../web/test_web.py::test_a_name_is_no_path
- no token stored
    ../web/test_web.py::test_the_token_is_in_no_place_that_others_read
    ../web/test_web.py::test_the_widget_keeps_nothing
    ../browser/test_page.py::test_a_wrong_token_is_told_and_the_page_goes_on
    ../browser/test_in_jupyterlab.py::test_from_a_sheet_to_its_results_in_a_cell

Answers
- size
    ../transport/test_client.py::test_answer_has_a_size_cap
    test_network.py::test_an_answer_without_an_end_is_cut_off
    test_network.py::test_an_answer_packed_as_nobody_asked_is_not_unpacked
    test_network.py::test_headers_without_an_end_are_cut_off
    test_network.py::test_two_headers_are_as_two_packings
- time
    ../transport/test_client.py::test_a_dripping_answer_comes_to_an_end
- shape
    test_network.py::test_json_that_is_made_to_harm_is_none
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NAMED = re.findall(r"([\w./]+\.py)::(\w+)", __doc__ or "")


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_of_the_table_is_there(file: str, name: str) -> None:
    """A test that is renamed or removed takes its line of the table along."""
    assert f"def {name}(" in (HERE / file).read_text(encoding="utf-8")


def test_every_test_of_this_folder_is_in_the_table() -> None:
    """Whoever adds one says which line it is for; controls, which show that a test can fail, need no line."""
    controls = {"test_an_answer_packed_once_is_read", "test_other_logs_are_left_alone"}
    found = {
        (path.name, name)
        for path in HERE.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    missing = {name for file, name in found - set(NAMED) if file != Path(__file__).name} - controls
    assert missing == set()
