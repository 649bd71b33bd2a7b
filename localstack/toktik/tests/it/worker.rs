//! The queue-worker host itself, over the embedded cloud: what it takes, what it gives back, and when.
