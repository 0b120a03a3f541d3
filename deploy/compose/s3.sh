#!/bin/sh
# SeaweedFS with one identity, whose keys are files.
set -eu
keys=/run/secrets/mercato
cat > /tmp/s3.json <<END
{"identities": [{"name": "mercato", "actions": ["Admin", "Read", "Write", "List"],
  "credentials": [{"accessKey": "$(cat $keys/artifacts-access-key)", "secretKey": "$(cat $keys/artifacts-secret-key)"}]}]}
END
exec weed server -dir=/data -s3 -s3.config=/tmp/s3.json -ip.bind=0.0.0.0 -volume.max=10
