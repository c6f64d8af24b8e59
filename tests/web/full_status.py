"""A status in which everything that the document can hold is there, each figure one that a test can look for."""

from typing import Any

Json = dict[str, Any]
HOUR = 60
AVERAGE = {"precision": 0.711, "recall": 0.622, "f1": 0.533}


def fill_in(status: Json, hostile: str) -> None:
    """Add what the believable day of conftest.py leaves out; ``hostile`` is a name wherever a name can be."""
    [model] = status["models"]
    now = model["watermark_minute"]
    model["segments"] = [
        segment("web", 0.3),
        segment("phone", 1.4, ["region=phone: car_value"]),
        segment("_other", None),
    ]
    model["segments"].append(segment(hostile, 0.1))
    model["embeddings"].append({**model["embeddings"][0], "name": hostile, "cluster_tv": 0.377, "evidence": 1.3})
    model["versions"] += [
        {"version": "v19", "rows": 901, "last_minute": now, "compared_with": "v18", "shadow": True},
        {"version": hostile, "rows": 7, "last_minute": now, "compared_with": "v18", "shadow": False},
    ]
    model["textbook"] += [
        {"rule": "mean_shift_2sd", "name": hostile, "value": 2.75, "threshold": 2.0, "fires": True},
        {"rule": "centroid_cosine", "name": "quiet_one", "value": 0.99, "threshold": 0.9, "fires": False},
    ]
    model["pull"] = {"at_ms": status["generated_at_ms"], "rows": 812, "taken": 800, "refused": 12, "problem": hostile}
    outcome(model["outcome"], hostile)
    status["incidents"] += [finding(status, *each) for each in findings(now, hostile)]


def segment(value: str, evidence: float | None, held: list[str] | None = None) -> Json:
    reason = "" if evidence is not None else "the baseline has no rows of it"
    return {"dimension": "region", "value": value, "rows": 4_000, "share": 0.31, "reference_share": 0.27,
            "evidence": evidence, "held": held or [], "reason": reason}  # fmt: skip


def outcome(view: Json, hostile: str) -> None:
    scores = {"rows": 31_000, "auc": 0.913, "auc_low": 0.901, "auc_high": 0.925, "average_precision": 0.802,
              "log_loss": 0.311, "brier": 0.104, "calibration_error": 0.021}  # fmt: skip
    shown: Json = {"realised": 0.871, "low": 0.86, "high": 0.88, "labelled": 9_000, "averages": None,
                   "scores": None, "answers": None, "errors": None}  # fmt: skip
    view["versions"] = [{"version": "v17", **shown}, {"version": "v18", **shown, "realised": 0.866, "scores": scores}]
    view["segments"] = [
        {"segment": "region=web", **shown, "errors": {"mae": 12.5, "bias": -1.5}},
        {"segment": hostile, **shown, "realised": None, "low": None},
    ]
    view["scores"] = scores
    view["estimate_note"] = f"assumes {hostile}"
    view["estimate_check"] = {"days": 9, "gap": 0.031, "broken": True}
    view["delay_moved"] = True
    view["errors"] = {"rows": 300, "mae": 12.5, "mae_low": 12.1, "mae_high": 12.9, "rmse": 17.25, "bias": -1.5,
                      "bias_low": -2.0, "bias_high": -1.0, "mape": None, "r2": 0.644}  # fmt: skip
    view["ratings"] = {"up": 70, "down": 30, "up_rate": 0.7, "up_low": 0.6, "up_high": 0.78, "scores": 40, "mean": 3.75,
                       "mean_low": 3.5, "mean_high": 4.0, "other": 3}  # fmt: skip
    kinds = dict.fromkeys(("micro", "macro", "weighted", "samples"), AVERAGE)
    one = {"name": hostile, "predicted": 40, "actual": 44, "precision": None, "recall": 0.444, "f1": 0.0}
    view["sets"] = {"rows": 5_000, "exact": 0.555, **kinds, "classes": [one]}
    view["weighted"] = {"realised": 0.845, "low": 0.83, "high": 0.86, "mature": 0.852, "effective": 7_001.4,
                        "scores": {**scores, "auc": 0.917}, "up_rate": None, "mean": None}  # fmt: skip


def findings(now: int, hostile: str) -> list[tuple[str, str, Json]]:
    """(rule, layer, details) as the checks write them."""
    onset = now - 5 * HOUR
    seen = {"evidence": 1.7, "onset_minute": onset}
    bins = {"reference_bins": [10, 20, 40, 20, 10], "current_bins": [0, 0, 20, 40, 40]}
    side = {"name": "income", "kind": "numeric", "rows": 900, "method": "ks", "distance": 0.0, "missing": 0.01,
            "out_of_range": 0.0, "quantiles": [1.0, 2.0, 3.0, 4.0, 5.0], "shares": None}  # fmt: skip
    split = {"dimension": "region", "share": "above 3", "before": 0.2, "after": 0.5, "mix": 0.05, "within": 0.25,
             "segment": "web", "segment_within": 0.2}  # fmt: skip
    step = {**seen, "shape": "step", "shape_nats": 4.2, "shape_from_minute": onset, "min_detectable_h": 0.123,
            "reference": side, "current": {**side, "distance": 0.314, "quantiles": [3.0, 4.0, 5.0, 6.0, 7.5]},
            "edges": [1, 2, 3, 4], "window_minutes": [0, 1], "segments": {"region": split}, **bins}  # fmt: skip
    parts = {"dimension": "region", "value": "web", "feature": "income", "share": "above 3", "reference": 0.21,
             "current": 0.57, "rows": 300, **seen}  # fmt: skip
    clusters = {"reference_clusters": [5, 5], "current_clusters": [1, 9], "reference_distances": [9, 1],
                "current_distances": [2, 8], "cluster_tv": 0.4, "min_detectable_h": 0.2, **seen}  # fmt: skip
    return [
        ("feature_drift", "data", {"features": {"income": step, hostile: {**step, "shape": "ramp"}},
                                   "open_features": ["income"], "groups": [["income", hostile], ["alone"]]}),
        ("segment_drift", "data", {"segments": {f"region=web: {hostile}": parts}}),
        ("segment_drift", "data",
         {"mix": {"region": {"shares": {"web": [0.2, 0.45], hostile: [0.1, 0.2]}, "rows": 9}}}),
        ("version_difference", "prediction", {
            "versions": {"v19 vs v18": {"shadow": True, "same_hours": True}},
            "differences": {f"v19 vs v18: {hostile}": {"rows": 800, "old_rows": 900, "old_share": 0.02,
                                                       "new_share": 0.17, **seen}}}),
        ("embedding_drift", "data", {"embeddings": {"note": clusters}}),
        ("joint_drift", "data", {"joint": {"income": {"members": ["age", hostile], "ks": 0.26, "rows": 88,
                                                      "window_minutes": [0, 1], **seen, **bins}}}),
        ("label_drift", "outcome", {"shares": {"repaid": [0.91, 0.62], hostile: [0.09, 0.38]}, "distance": 0.29}),
        ("estimate_drop", "outcome", {"baseline": 0.934, "chance": 0.5, "lost": 0.152}),
    ]  # fmt: skip


def finding(status: Json, rule: str, layer: str, details: Json) -> Json:
    return {"key": f"full/{rule}/{sorted(details)[0]}", "model": "loans", "rule": rule, "layer": layer, "tier": 3,
            "opened_ms": status["generated_at_ms"] - 3_600_000, "resolved_ms": None, "summary": f"{rule} happened",
            "evidence": 1.5, "features": [], "details": details}  # fmt: skip
