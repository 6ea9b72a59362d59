"""Tests of the emulator through the real SDKs."""
