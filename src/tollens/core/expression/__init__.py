"""The one expression language: claims, decision rules and, later, predicates."""
