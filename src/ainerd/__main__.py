"""`python -m ainerd`: the command line, where its script is not on the path."""

from ainerd.cli import main

if __name__ == "__main__":
    main()
