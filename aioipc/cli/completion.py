"""`aioipc completion SHELL`."""

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]

_HOW = {
    "bash": 'eval "$(aioipc completion bash)"            in ~/.bashrc',
    "zsh": 'eval "$(aioipc completion zsh)"             in ~/.zshrc',
    "fish": "aioipc completion fish > ~/.config/fish/completions/aioipc.fish",
}


@click.command(epilog="\b\n" + "\n".join(_HOW.values()))
@click.argument("shell", type=click.Choice(list(_HOW)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, options, and names of segments."""
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(context.find_root().command, {}, "aioipc", "_AIOIPC_COMPLETE").source())
