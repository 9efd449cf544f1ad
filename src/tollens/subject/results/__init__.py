"""Result files of other tools, read as data; values in, values out."""
