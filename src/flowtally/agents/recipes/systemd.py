"""The agent as a service of systemd: a user of its own for each run, nothing writable but a spool, a watchdog."""

from __future__ import annotations

from typing import Final

UNIT: Final = """\
# /etc/systemd/system/flowtally-agent.service
#
# The token:  install -m 600 /dev/stdin /etc/flowtally/agent.token     (root's alone; systemd hands it over)
# Then:       systemctl daemon-reload && systemctl enable --now flowtally-agent
[Unit]
Description=flowtally agent: follows logs and sends what was used
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=/usr/bin/flowtally agent /etc/flowtally/agent.toml
ExecReload=/bin/kill -HUP $MAINPID
WatchdogSec=60
Restart=always
RestartSec=2
# 2: the configuration cannot be used. Trying again does not mend it.
RestartPreventExitStatus=2
TimeoutStopSec=40
LoadCredential=token:/etc/flowtally/agent.token

# Who may read the logs: adm (nginx, Apache), proxy (Squid), systemd-journal ([[journal]]). Leave out what is not here.
DynamicUser=yes
SupplementaryGroups=adm proxy systemd-journal
ReadOnlyPaths=/var/log

# Only a spool of [[syslog]] is ever written; what was read is remembered by the server.
StateDirectory=flowtally-agent
StateDirectoryMode=0700

ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
LimitNOFILE=65536
MemoryMax=1G
UMask=0077

[Install]
WantedBy=multi-user.target
"""
