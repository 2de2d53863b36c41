#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the seeds of fuzz_dispatch from the command table.

    seeds.py

For each group of commands two inputs in tests/fuzz/corpus/dispatch: every
command with as few arguments as it may have, and with as many as it can.
"""
import ast
import os
import re

ROOT = os.path.dirname(os.path.abspath(__file__))
TABLE = ROOT + "/../../server/command/commands.def"
WORDS = {"key": "k", "newkey": "k2", "source": "k", "destination": "k2",
         "field": "title", "value": "7", "pattern": "*", "channel": "c",
         "username": "default", "connection-name": "me", "protover": "3"}


def value(word):
    if re.fullmatch(r"[A-Z0-9-]+", word):
        return word
    return WORDS.get(word, "1")


def expand(syntax, whole):
    """The words of a call; with the optional parts if 'whole'."""
    tokens = re.findall(r"[\[\]<>|]|[^\s\[\]<>|]+", syntax)
    place = 0

    def alternatives(end):
        nonlocal place
        found = [[]]
        while place < len(tokens) and tokens[place] != end:
            token = tokens[place]
            place += 1
            if token == "|":
                found.append([])
            elif token == "[":
                inner = alternatives("]")
                place += 1
                found[-1] += inner[-1] if whole else []
            elif token == "<":
                inner = alternatives(">")
                place += 1
                found[-1] += inner[-1 if whole else 0]
            elif token != "...":
                found[-1].append(value(token))
        return found

    return alternatives(None)[-1 if whole else 0]


def main():
    groups = {}
    with open(TABLE) as table:
        for line in table:
            if not line.startswith("COMMAND("):
                continue
            strings = [ast.literal_eval(s) for s in re.findall(r'"[^"]*"', line)]
            name, group, syntax = strings[0], strings[1], strings[3]
            if name not in ("shutdown", "quit"):
                groups.setdefault(group, []).append((name, syntax))
    directory = ROOT + "/corpus/dispatch"
    os.makedirs(directory, exist_ok=True)
    for group, commands in groups.items():
        for whole in (False, True):
            lines = [" ".join(name.split("|") + expand(syntax, whole))
                     for name, syntax in commands]
            path = f"{directory}/{group}_{'most' if whole else 'least'}"
            with open(path, "w", newline="") as out:
                out.write(("3" if whole else "2") + "\r\n".join(lines) + "\r\n")


main()
