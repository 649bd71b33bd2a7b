#!/bin/sh
# LocalStack runs this once it is ready: bucket, queues and table, made by the same routine as anywhere else. `toktik` has to be on
# PATH; it is linked statically, and what `cargo xtask dist` leaves in target/dist/bin runs in LocalStack's container too.
set -eu
export AWS_ENDPOINT_URL="${AWS_ENDPOINT_URL:-http://localhost:4566}"
export AWS_REGION="${AWS_REGION:-us-east-1}"
export AWS_ACCESS_KEY_ID="${AWS_ACCESS_KEY_ID:-test}"
export AWS_SECRET_ACCESS_KEY="${AWS_SECRET_ACCESS_KEY:-test}"
exec toktik provision
