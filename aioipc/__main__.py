"""The command line: `aioipc`, or `python -m aioipc`."""

import sys

_EXTRA = {"click", "rich"}


def main() -> None:
    """Run the command line; say what to install when its two libraries are missing."""
    try:
        from aioipc.cli import commands
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        print("aioipc: the command line needs click and rich: pip install 'aioipc[cli]'", file=sys.stderr)
        sys.exit(2)
    commands(prog_name="aioipc")


if __name__ == "__main__":
    main()
