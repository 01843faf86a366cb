"""``python -m scenario_gen``: the command line without the installed script."""

from scenario_gen.cli import main

if __name__ == "__main__":
    main()
