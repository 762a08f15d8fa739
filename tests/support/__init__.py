"""What several tests share: studies, servers, files and processes to try things on."""
