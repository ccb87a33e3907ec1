"""The laboratory: a real Postfix, a real name server and receivers that behave
like the big ones, in namespaces with no way out."""
