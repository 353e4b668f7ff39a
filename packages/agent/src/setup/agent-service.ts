/**
 * The agent as a service of systemd. One unit: the agent starts everything else of its host itself (the store's member, the
 * guardian, the deadman, storage daemons, guests), and a witness differs by its configuration only.
 */
import { join } from 'node:path'

export const AGENT_UNIT = 'stead-agent.service'

/** Neither the agent nor what it starts sets the clock, reboots the machine, or reads the kernel's log and audit. */
const CAPABILITIES_TAKEN = [
  ...['CAP_SYS_TIME', 'CAP_SYS_BOOT', 'CAP_SYSLOG', 'CAP_SYS_PACCT', 'CAP_LINUX_IMMUTABLE'],
  ...['CAP_WAKE_ALARM', 'CAP_BLOCK_SUSPEND', 'CAP_AUDIT_CONTROL', 'CAP_AUDIT_READ'],
]

export interface AgentServicePlaces {
  /** The folder of this copy of Stead. */
  readonly root: string
  readonly stateDir: string
}

/** Paths must have no blanks: systemd would take them for several words. */
export function agentUnit({ root, stateDir }: AgentServicePlaces): string {
  return `# Written by: stead service install. docs/internals/set-up.md says why it is as it is.
[Unit]
Description=Stead: the agent of this host
Documentation=file:${join(root, 'docs', 'operating', 'first-cluster.md')}
Wants=network-online.target
After=network-online.target time-sync.target
RequiresMountsFor=${stateDir} ${root}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=all
ExecStartPre=-/sbin/modprobe --all --quiet tun vhost_net
ExecStart=${join(root, 'bin', 'stead-agent')} ${join(stateDir, 'agent.json')}
Environment=NODE_COMPILE_CACHE=${join(stateDir, 'compile-cache')}
Restart=always
RestartSec=200ms
TimeoutStopSec=30s

# An agent that hangs is started again; nothing that it keeps running ends with it.
WatchdogSec=60s
WatchdogSignal=SIGKILL
KillMode=process
OOMPolicy=continue

# Containers have control groups of their own below; guests have limits of their own.
Delegate=yes
TasksMax=infinity
LimitNOFILE=1048576
LimitMEMLOCK=infinity

CapabilityBoundingSet=~${CAPABILITIES_TAKEN.join(' ')}
KeyringMode=private

[Install]
WantedBy=multi-user.target
`
}
