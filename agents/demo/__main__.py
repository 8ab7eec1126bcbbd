"""``make demo``."""

from agents.demo.campaign import main

if __name__ == "__main__":
    main()
