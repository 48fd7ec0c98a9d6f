"""Making a pyramid from a source of images: conversion, files, journal, disk.

Imports sources, format and the common ground. Begin with `writer.py`.
"""
