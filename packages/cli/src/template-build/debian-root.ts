/** A small Debian with systemd, made by mmdebstrap from the archives that this machine uses itself. */
import { join } from 'node:path'
import { buildStep } from './build-step.ts'

const PACKAGES = ['systemd-sysv', 'dbus', 'iproute2', 'iputils-ping', 'procps', 'netbase', 'ca-certificates', 'less']

const LEFT_OUT = ['man/*', 'locale/*', 'doc/*', 'info/*', 'lintian/*']

/** What the mirror of the machine that built this was is nobody's business in a container. */
const sources = (codename: string) =>
  [
    `deb http://deb.debian.org/debian ${codename} main`,
    `deb http://deb.debian.org/debian ${codename}-updates main`,
    `deb http://security.debian.org/debian-security ${codename}-security main`,
  ].join('\\n')

const COMMANDS = (codename: string) => [
  `printf "${sources(codename)}\\n" > /etc/apt/sources.list`,
  'rm -rf /etc/apt/sources.list.d/0000* /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/log/*.log /var/log/apt',
  // Each container gets its own at its first start.
  ': > /etc/machine-id',
  'rm -f /var/lib/dbus/machine-id /etc/resolv.conf',
  'echo debian > /etc/hostname',
  'printf "127.0.0.1 localhost\\n::1 localhost\\n" > /etc/hosts',
  // Units for hardware that a container has not, or that would wait for the host's.
  'systemctl mask systemd-udevd.service systemd-modules-load.service sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount fstrim.timer e2scrub_all.timer',
]

/** The archive; `work` is an empty folder for it. Two minutes, and the mirror. */
export async function buildDebianRoot(codename: string, work: string, signal: AbortSignal): Promise<string> {
  const archive = join(work, 'debian.tar')
  await buildStep(
    'mmdebstrap',
    [
      ...['--quiet', '--variant=minbase', `--include=${PACKAGES.join(',')}`],
      ...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=/usr/share/${path}`),
      '--dpkgopt=path-include=/usr/share/doc/*/copyright',
      ...COMMANDS(codename).map((command) => `--customize-hook=chroot "$1" sh -c '${command}'`),
      ...[codename, archive, '-'],
    ],
    { needs: 'mmdebstrap', signal, input: await ownSources(codename, signal) },
  )
  const packed = `${archive}.zst`
  await buildStep('zstd', ['-q', '-T0', '--rm', archive, '-o', packed], { needs: 'zstd', signal })
  return packed
}

/** This release's archives as apt lists for this machine, so that its own mirror is used; lines of a sources.list. */
async function ownSources(codename: string, signal: AbortSignal): Promise<string> {
  const format = ['--format', '$(LABEL)|$(CODENAME)|$(REPO_URI)', 'Created-By: Packages', 'Component: main']
  const listed = await buildStep('apt-get', ['indextargets', ...format], { needs: 'apt', signal })
  const targets = listed.split('\n').flatMap((line) => {
    const [label, suite, uri] = line.split('|')
    return label?.startsWith('Debian') && suite && uri ? [{ suite, uri }] : []
  })
  const wanted = [codename, `${codename}-updates`, `${codename}-security`]
  const own = targets.filter(({ suite }) => wanted.includes(suite))
  // On another release of Debian: the same mirror has this one too.
  const base = targets.find(({ suite }) => !suite.includes('-'))?.uri ?? 'http://deb.debian.org/debian'
  const chosen = own.some(({ suite }) => suite === codename) ? own : [{ suite: codename, uri: base }]
  return `${[...new Set(chosen.map(({ suite, uri }) => `deb ${uri} ${suite} main`))].join('\n')}\n`
}
