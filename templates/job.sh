#!/bin/sh
# Written by mailfix; change {{ site }} and run `mailfix apply` instead of editing.
exec {{ command }}
