"""Predicted memory beside what was measured, in a few words."""


def against(predicted_gib: float, measured_mib: float | None) -> str:
    """'predicted 1.20 GiB, measured peak 1.10 GiB (8 % less)'."""
    if not measured_mib:
        return f"predicted {predicted_gib:.2f} GiB, not measured"
    measured = measured_mib / 1024
    off = measured / predicted_gib - 1
    more = "as predicted" if abs(off) < 0.005 else f"{abs(off):.0%} {'more' if off > 0 else 'less'}"
    return f"predicted {predicted_gib:.2f} GiB, measured peak {measured:.2f} GiB ({more})"
