#!/bin/sh
# SeaweedFS with one identity, whose keys are files, and one bucket.
set -eu
keys=/run/secrets/mercato
cat > /tmp/s3.json <<END
{"identities": [{"name": "mercato", "actions": ["Admin", "Read", "Write", "List"],
  "credentials": [{"accessKey": "$(cat $keys/artifacts-access-key)", "secretKey": "$(cat $keys/artifacts-secret-key)"}]}]}
END
# The bucket can only be made by a server that runs; one that is there is left as it is.
(until echo 's3.bucket.create -name mercato' | weed shell >/dev/null 2>&1; do sleep 1; done) &
exec weed server -dir=/data -s3 -s3.config=/tmp/s3.json -ip.bind=0.0.0.0 -volume.max=10
