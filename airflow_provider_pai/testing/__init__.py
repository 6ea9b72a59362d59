"""Testing of DAGs that use the provider: a pytest plugin over the emulator, and assertions in words for people."""
