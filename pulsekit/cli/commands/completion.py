"""`pulsekit completion`: the shell scripts that call `suggestions` to complete a command line."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pulsekit.cli.exit_codes import ExitCode
from pulsekit.errors import ConfigurationError

__all__ = ["EXAMPLES", "command"]

EXAMPLES = """\
eval "$(pulsekit completion bash)"  # in ~/.bashrc
eval "$(pulsekit completion zsh)"   # in ~/.zshrc, after compinit
pulsekit completion fish | source   # in config.fish
"""


class Shell(StrEnum):
    """A shell for which there is a completion script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


# The scripts insert suggestions as text and never evaluate them, because names may come from an untrusted repository.
_SCRIPTS = {
    Shell.BASH: r"""
_pulsekit() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(
        _PULSEKIT_COMPLETE=bash _PULSEKIT_LINE="${COMP_LINE:0:COMP_POINT}" _PULSEKIT_BREAKS="$COMP_WORDBREAKS" \
            "${1/#\~/$HOME}" 2>/dev/null
    )
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[/:=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o default -F _pulsekit pulsekit
""",
    Shell.ZSH: r"""
#compdef pulsekit
_pulsekit() {
    local value about
    local -a whole open
    while IFS=$'\t' read -r value about; do
        value="${value//\\/\\\\}"
        if [[ $value == *[/:=] ]]; then
            open+=("${value//:/\\:}${about:+:$about}")
        else
            whole+=("${value//:/\\:}${about:+:$about}")
        fi
    done < <(
        _PULSEKIT_COMPLETE=zsh "${(Q)words[1]/#\~/$HOME}" "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null
    )
    if (( $#whole + $#open )); then
        (( $#whole )) && _describe -V pulsekit whole
        (( $#open )) && _describe -V pulsekit open -S ''
    else
        _files
    fi
}
if [[ $funcstack[1] == _pulsekit ]]; then
    _pulsekit "$@"
else
    compdef _pulsekit pulsekit
fi
""",
    Shell.FISH: r"""
function __pulsekit_find
    set -l words (commandline -opc)
    set -g __pulsekit_found (env _PULSEKIT_COMPLETE=fish $words (commandline -ct) 2>/dev/null)
    test (count $__pulsekit_found) -gt 0
end
complete --command pulsekit --condition __pulsekit_find --no-files --keep-order \
    --arguments '(printf "%s\n" $__pulsekit_found)'
""",
}


def command(
    shell: Annotated[
        Shell | None,
        typer.Argument(metavar="[SHELL]", help="bash, zsh or fish. [default: that of $SHELL]"),
    ] = None,
) -> int:
    """Print a script that lets a shell complete commands, options and the names of your configuration.

    The completions include the exchanges, destinations, projects, bindings and rules of pulsekit.yml and of your own
    configuration. Completion never connects to a broker.
    """
    if shell is None:
        name = Path(os.environ.get("SHELL", "")).name
        if name not in set(Shell):
            raise ConfigurationError(f"no SHELL: add {', '.join(Shell)}, as in 'pulsekit completion bash'")
        shell = Shell(name)
    typer.echo(_SCRIPTS[shell].strip())
    return ExitCode.DONE
