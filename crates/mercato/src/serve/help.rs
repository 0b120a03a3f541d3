//! What `mercato serve --help` teaches.

pub(super) const SERVE: &str = "\
What it must be told (as a variable, or as the key in lower case in the TOML file):
  MERCATO__HTTP__LISTEN              where the REST API listens, such as 127.0.0.1:8080 behind a proxy
  MERCATO__HTTP__PUBLIC_URL          how shops reach it, such as https://market.example.com
  MERCATO__STRIPE__SECRET_KEY        sk_live_… or a restricted key rk_live_…
  MERCATO__STRIPE__WEBHOOK_SECRETS   whsec_… of the webhook endpoint at Stripe
  MERCATO__STRIPE__SUCCESS_URL       where a buyer goes after paying
  MERCATO__STRIPE__CANCEL_URL        where a buyer goes on turning back
Every one may be given as …_FILE, the name of a file that holds the value.

What it may be told:
  MERCATO__STRIPE_WEBHOOK__LISTEN    where Stripe's events arrive (0.0.0.0:8081), path /stripe/webhook
  MERCATO__ADMIN__LISTEN             /livez, /readyz and /metrics (127.0.0.1:8082); never public
  MERCATO__HTTP__TRUSTED_PROXIES     whose X-Forwarded-For is believed, such as [127.0.0.1/32]
  DATABASE_URL, NATS_URL, REDIS_URL  servers in place of the embedded parts
  MERCATO__ARTIFACTS__URL            s3://bucket/prefix in place of the data folder
  OTEL_EXPORTER_OTLP_ENDPOINT        where traces go
docs/serve.md has the rest, and a proxy's configuration.

As a systemd unit, /etc/systemd/system/mercato.service:
  [Service]
  ExecStart=/usr/local/bin/mercato serve --data /var/lib/mercato
  EnvironmentFile=/etc/mercato/env
  DynamicUser=yes
  StateDirectory=mercato
  Restart=always
  TimeoutStopSec=60

The admin key, later:
  jq -r .admin_key /var/lib/mercato/secrets.json
";
