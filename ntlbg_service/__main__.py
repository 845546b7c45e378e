"""`python -m ntlbg_service` is `ntlbg`."""

from ntlbg_service.cli import main

main()
