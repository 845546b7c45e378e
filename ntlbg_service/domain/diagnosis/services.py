"""Whether what a deployment stands on is there: Ray's guard, the database, a leader, MLflow."""

from ntlbg_service.domain.diagnosis.finding import Finding, count, ok, problem, warning

LATE_SECONDS = 3600.0
"""What waits for MLflow longer than that is shown."""


def authentication(asks: bool, token_works: bool, loopback: bool) -> Finding:
    """Whether whoever reaches the cluster needs its token, and whether ours is it."""
    if not asks:
        said = "Ray lets in everyone who reaches it"
        do = "RAY_AUTH_MODE=token for every 'ray start' and for this machine, with one token"
        if loopback:
            return warning("authentication", f"{said}; it listens on this machine alone", do)
        return problem("authentication", f"{said}, and runs what they send", do)
    if not token_works:
        return problem(
            "authentication",
            "Ray asks for a token, and refuses the one that this machine has or lacks",
            "RAY_AUTH_TOKEN_PATH names the cluster's token file ('ray get-auth-token' there)",
        )
    return ok("authentication", "Ray asks for a token, and takes the one that is here")


def database(schema: str | None, wanted: str, where: str) -> Finding:
    """Whether the ledger's schema is that of this code. `schema` None: there is none yet."""
    if schema is None:
        return ok("database", f"{where}: empty; the first submission makes the ledger")
    if schema != wanted:
        said = f"{where}: schema {schema}, this ntlbg needs {wanted}"
        return problem("database", said, "'ntlbg db backup FILE', then 'ntlbg db upgrade'")
    return ok("database", f"{where}: schema {schema}")


def leader(holder: str, queued: int) -> Finding:
    """Whether somebody runs what waits. `holder`: in words; empty where nobody leads."""
    if holder:
        return ok("leader", f"{holder} leads")
    if queued:
        said = f"{count(queued, 'run')} wait{'s' if queued == 1 else ''} and no controller leads"
        return problem("leader", said, "start 'ntlbg controller', as a service that is restarted")
    return warning("leader", "no controller leads; nothing waits", "'ntlbg controller' starts one")


def mlflow(store: str | None, where: str) -> Finding:
    """What is behind an MLflow server that answered, as it says; None where it does not say."""
    if store == "FileStore":
        return problem(
            "mlflow",
            f"{where} answers, and keeps its runs in files",
            "start it with --backend-store-uri of a database",
        )
    return ok("mlflow", f"{where} answers" + (f" ({store})" if store else ""))


def mlflow_copy(waiting: int, oldest: float, refused: int) -> Finding:
    """Whether MLflow was told what happened. `oldest`: seconds that the first of it waits."""
    if refused:
        return problem(
            "mlflow copy",
            f"MLflow refused {count(refused, 'message')}, which {_are(refused)} set aside",
            "'ntlbg mlflow check' says why; 'ntlbg mlflow resend' sends them again",
        )
    if waiting and oldest > LATE_SECONDS:
        return warning(
            "mlflow copy",
            f"{count(waiting, 'message')} {_are(waiting)} not told yet, for {oldest / 3600:.1f} h",
            "a controller tells it, or 'ntlbg mlflow resend' where none leads",
        )
    return ok("mlflow copy", "MLflow was told what happened, or is being told")


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
