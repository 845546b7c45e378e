"""Update of the absolute artifact paths in MLflow's own database after a home was moved."""

from pathlib import Path

from sqlalchemy import NullPool, create_engine, inspect, text

from ntlbg_service.process.sqlite_file import file_of

LOCATIONS = text(
    "SELECT experiment_id, artifact_location FROM experiments"
    " WHERE artifact_location <> :now AND artifact_location LIKE :own"
)
MOVE_RUNS = text(
    "UPDATE runs SET artifact_uri = :now || substr(artifact_uri, length(:before) + 1)"
    " WHERE experiment_id = :experiment AND substr(artifact_uri, 1, length(:before)) = :before"
)
MOVE_EXPERIMENT = text(
    "UPDATE experiments SET artifact_location = :now WHERE experiment_id = :experiment"
)


def follow_home(tracking_uri: str, artifact_root: str) -> None:
    """Update the artifact locations in the database of a home to the home's present folder.

    Raises SQLAlchemyError.
    """
    file = file_of(tracking_uri)
    if file is None or not file.is_file():
        return
    engine = create_engine(tracking_uri, poolclass=NullPool)
    own = f"%/{Path(artifact_root).name}"
    with engine.connect() as connection:
        if not inspect(connection).has_table("experiments"):
            return
        found = connection.execute(LOCATIONS, {"now": artifact_root, "own": own}).all()
        for experiment, before in found:
            moved = {"experiment": experiment, "before": before, "now": artifact_root}
            connection.execute(MOVE_RUNS, moved)
            connection.execute(MOVE_EXPERIMENT, moved)
        connection.commit()
