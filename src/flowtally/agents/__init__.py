"""Programs beside a proxy or a web server: they read logs and send what was used through `client`: see README.md."""
