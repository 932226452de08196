"""The KenyanFood13 study's experiments as configuration: one definition a group, and ids both ways."""
