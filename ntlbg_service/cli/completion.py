"""`ntlbg completion`: what a shell needs to complete the words of this command line."""

import click
from click.shell_completion import BashComplete, get_completion_class

from ntlbg_service.cli import COMPLETE

SHELLS = ("bash", "zsh", "fish")
BASH = r"""
%(complete_func)s() {
    # Bash breaks words at ':', and names of runs have one.
    local line="${COMP_LINE:0:COMP_POINT}" cur before value kind response
    local -a words
    read -ra words <<< "$line"
    [[ "$line" == *[[:space:]] ]] && words+=("")
    cur="${words[${#words[@]}-1]}"
    before="${cur%%"${cur##*:}"}"
    [[ "$COMP_WORDBREAKS" == *:* ]] || before=""
    response=$(env COMP_WORDS="$line" COMP_CWORD=$((${#words[@]} - 1)) \
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
    COMPREPLY=()
    while IFS=',' read -r kind value; do
        case "$kind" in
            dir) COMPREPLY=(); compopt -o dirnames ;;
            file) COMPREPLY=(); compopt -o default ;;
            plain) COMPREPLY+=("${value#"$before"}") ;;
        esac
    done <<< "$response"
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class ColonBash(BashComplete):
    """Click's bash, with words that hold a colon."""

    source_template = BASH

    @staticmethod
    def _check_version() -> None:
        """The shell that reads the script may be another one than is found here."""


@click.command(short_help="Complete names and options in your shell.")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print what SHELL needs to complete runs, suites, groups, nodes and options.

    \b
    eval "$(ntlbg completion bash)"               in ~/.bashrc
    eval "$(ntlbg completion zsh)"                in ~/.zshrc, after compinit
    ntlbg completion fish | source                in ~/.config/fish/config.fish
    """
    found = ColonBash if shell == "bash" else get_completion_class(shell)
    assert found is not None
    root = click.get_current_context().find_root().command
    click.echo(found(root, {}, "ntlbg", COMPLETE).source())
