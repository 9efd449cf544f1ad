"""From the text of a file to claims: tables of claims, tagged texts, drafts of untagged ones."""
