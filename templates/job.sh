#!/bin/sh
# Written by mailfix; {{ instead }}
exec {{ command }}
