"""The command line: everything a person does with flowtally from a terminal. See README.md beside this file."""
