"""What a run will take, before it starts: by formula (`--plan`), and by trying (`--dry_run`)."""
