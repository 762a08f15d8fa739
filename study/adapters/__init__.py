"""Everything that uses private parts of a library: one file each, with a fallback to the public interface."""
