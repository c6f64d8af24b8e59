"""Which test holds each entry of the catalogue to the truth; that all of them reach receivers is shown besides."""

from __future__ import annotations

from collections.abc import Mapping

_SERVED = "tests/runtime/test_surroundings.py"
_TOLD = "tests/runtime/test_telemetry_end_to_end.py"
_PROCESS = "tests/resources/test_resources_process.py"
_SOURCES = "tests/resources/test_surrounding_sources.py"
_SYSTEM = "tests/resources/test_resources_system.py::test_the_states_are_the_kernel_s_and_add_up"
_GPU = "tests/resources/test_gpu.py::test_every_device_tells_what_it_can"
_GENERATIONS = "tests/aggregate/test_generations.py"
_HUB = "tests/hub/test_hub_figures.py"
_STATUS = "tests/hub/test_status_views.py"
_OWN = "tests/export/test_export_figures.py::test_own_counters_under_their_catalogue_names"
_QUEUE = f"{_SERVED}::test_the_queue_is_told_with_its_limit"
_VIOLATIONS = "tests/recorder/test_violations.py::test_every_row_is_counted_and_one_event_a_minute_is_told"
_BINS = f"{_HUB}::test_bins_are_the_rows_in_them"

PROOFS: Mapping[str, str] = {
    "mlmon.predictions": f"{_TOLD}::test_predictions_are_counted_for_model_and_version",
    "mlmon.requests": f"{_SERVED}::test_requests_by_their_ending",
    "mlmon.request.active": f"{_SERVED}::test_a_request_is_active_while_it_is_worked_on",
    "mlmon.batch.size": "tests/recorder/test_sizes.py::test_a_request_is_counted_once_with_all_its_rows",
    "mlmon.model.load.duration": f"{_SOURCES}::test_what_the_application_measured_wins_over_its_start_up",
    "mlmon.queue.depth": f"{_SOURCES}::test_queues_are_asked_each_time_and_a_broken_one_costs_itself",
    "mlmon.prediction.duration": "tests/recorder/test_request_durations.py::test_one_histogram_for_each_failure",
    "mlmon.prediction.time_to_first_byte": f"{_SERVED}::test_first_bytes_come_before_last_ones",
    "mlmon.schema.violations": _VIOLATIONS,
    "process.cpu.time": f"{_PROCESS}::test_figures_agree_with_the_kernel",
    "process.memory.usage": f"{_PROCESS}::test_figures_agree_with_the_kernel",
    "process.thread.count": f"{_PROCESS}::test_threads_are_counted",
    "process.unix.file_descriptor.count": f"{_PROCESS}::test_figures_agree_with_the_kernel",
    "process.uptime": f"{_PROCESS}::test_uptime_counts_from_the_process_s_start",
    "system.memory.usage": _SYSTEM,
    "system.memory.limit": _SYSTEM,
    "system.memory.utilization": _SYSTEM,
    "mlmon.event_loop.lag": f"{_SOURCES}::test_a_loop_that_is_blocked_is_late",
    "mlmon.gc.pause": f"{_SOURCES}::test_each_collection_is_timed_until_the_end",
    "hw.gpu.utilization": _GPU,
    "hw.gpu.memory.usage": _GPU,
    "hw.gpu.memory.limit": _GPU,
    "hw.temperature": _GPU,
    "hw.power": _GPU,
    "gen_ai.server.request.duration": f"{_GENERATIONS}::test_one_generation_by_hand",
    "gen_ai.server.time_to_first_token": f"{_GENERATIONS}::test_one_generation_by_hand",
    "gen_ai.server.time_per_output_token": f"{_GENERATIONS}::test_one_generation_by_hand",
    "gen_ai.client.token.usage": f"{_GENERATIONS}::test_one_generation_by_hand",
    "mlmon.llm.finish": f"{_GENERATIONS}::test_one_generation_by_hand",
    "mlmon.feature.drift.score": f"{_HUB}::test_distances",
    "mlmon.feature.drift.evidence": f"{_HUB}::test_evidence_and_drifted_are_what_the_page_shows",
    "mlmon.feature.missing.ratio": f"{_HUB}::test_missing_and_strange_values",
    "mlmon.feature.out_of_range.ratio": f"{_HUB}::test_missing_and_strange_values",
    "mlmon.feature.unseen_category.ratio": f"{_HUB}::test_missing_and_strange_values",
    "mlmon.feature.mean": f"{_HUB}::test_moments",
    "mlmon.feature.stddev": f"{_HUB}::test_moments",
    "mlmon.feature.bin": _BINS,
    "mlmon.baseline.bin.ratio": _BINS,
    "mlmon.drift.features.drifted.ratio": f"{_HUB}::test_evidence_and_drifted_are_what_the_page_shows",
    "mlmon.window.samples": f"{_HUB}::test_the_window",
    "mlmon.prediction.drift.score": f"{_HUB}::test_distances",
    "mlmon.prediction.class": f"{_HUB}::test_predictions",
    "mlmon.prediction.confidence.mean": f"{_HUB}::test_predictions",
    "mlmon.prediction.dominant.ratio": f"{_HUB}::test_predictions",
    "mlmon.outcome.labels": f"{_STATUS}::test_every_figure_of_the_hub_has_its_place_in_the_catalogue",
    "mlmon.outcome.score": f"{_HUB}::test_labels",
    "mlmon.outcome.coverage.ratio": f"{_HUB}::test_labels",
    "mlmon.alert.state": f"{_STATUS}::test_every_figure_of_the_hub_has_its_place_in_the_catalogue",
    "mlmon.alert.transitions": f"{_STATUS}::test_every_figure_of_the_hub_has_its_place_in_the_catalogue",
    "mlmon.self.queue.size": _QUEUE,
    "mlmon.self.queue.limit": _QUEUE,
    "mlmon.self.dropped": _OWN,
    "mlmon.self.redactions": _OWN,
    "mlmon.self.errors": _OWN,
    "mlmon.self.export.failures": "tests/export/test_export_outage.py::"
    "test_a_refused_connection_is_counted_and_the_count_is_exported",
    "mlmon.self.flush.lag": "tests/recorder/test_recorder.py::test_the_age_of_the_flush_in_doubt_is_measured",
    "mlmon.self.hub.leader": f"{_HUB}::test_ages",
    "mlmon.self.aggregate.age": f"{_HUB}::test_ages",
    "mlmon.self.baseline.age": f"{_HUB}::test_ages",
    "mlmon.prediction": f"{_TOLD}::test_every_prediction_is_one_log_record_in_the_request_s_span",
    "mlmon.outcome": "tests/hub/test_evaluation_events.py::test_an_outcome_is_told_in_the_trace_of_its_prediction",
    "gen_ai.evaluation.result": "tests/hub/test_evaluation_events.py::"
    "test_feedback_on_an_answer_is_an_evaluation_result",
    "mlmon.schema.violation": _VIOLATIONS,
    "mlmon.baseline": "tests/hub/test_baseline_learning.py::test_proposed_once_there_is_enough_and_said_everywhere",
    "mlmon.alert": "tests/hub/test_hub_sealing.py::"
    "test_a_collapse_pages_before_its_minute_is_sealed_under_the_key_of_the_seal",
}
"""Metric or event to a test's node id."""
