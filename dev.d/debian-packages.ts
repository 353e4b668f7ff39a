/** Debian packages that Stead needs: which are missing, and installing them without starting their services. */
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { DevFailure, mustRun, outputOf } from './run-program.ts'

interface DebianPackage {
  readonly name: string
  readonly reason: string
  /** Oldest major version that will do. */
  readonly major?: number
  /** What comes with it and Stead does not want: it starts its own. */
  readonly services?: readonly string[]
  /** Only tests want it, and they are left out where this Debian has none. */
  readonly ifThere?: true
}

/** QEMU 7.2 of Debian 12 killed guests during long migrations; 10 is in its backports, and in Debian 13 itself. */
const PACKAGES: readonly DebianPackage[] = [
  { name: 'qemu-system-x86', reason: 'runs the guests', major: 10 },
  { name: 'qemu-utils', reason: 'qemu-storage-daemon, which serves the volumes', major: 10 },
  { name: 'ovmf', reason: 'UEFI firmware for guests' },
  { name: 'swtpm', reason: 'the TPM of guests that have one' },
  { name: 'etcd-server', reason: "the cluster's memory", services: ['etcd.service'] },
  { name: 'etcd-client', reason: 'makes the store of a cluster that goes on with one host' },
  { name: 'lxc', reason: 'runs the containers', major: 5, services: ['lxc.service', 'lxc-net.service'] },
  { name: 'nftables', reason: 'holds guests to their own addresses; cuts two hosts of the lab from each other' },
  { name: 'iproute2', reason: "makes the lab's networks" },
  { name: 'util-linux', reason: 'enters the namespaces of a lab host; freezes the disks of containers' },
  { name: 'mount', reason: 'loop devices and mounts of containers' },
  { name: 'btrfs-progs', reason: 'native roots of containers: subvolumes, their snapshots and quotas' },
  { name: 'kmod', reason: 'loads the tun driver for network cards of guests' },
  { name: 'procps', reason: 'shows the processes of a lab host' },
  { name: 'iputils-ping', reason: 'measures the networks between the hosts' },
  { name: 'libnbd-bin', reason: 'nbdinfo: tests look into exported volumes' },
  { name: 'busybox-static', reason: "the user space of the lab's guest, and the smallest template of containers" },
  { name: 'xz-utils', reason: "unpacks archives of container templates, and kernel modules for the lab's guest" },
  { name: 'zstd', reason: 'unpacks archives of container templates' },
  { name: 'openssl', reason: 'judges, in tests, the certificates that are made' },
  { name: 'openssh-client', reason: 'tests log in to Debian guests' },
  { name: 'mmdebstrap', reason: 'makes Debian templates of containers, and the Debian image for tests' },
  { name: 'grub-pc-bin', reason: 'makes the Debian image start by BIOS' },
  { name: 'fdisk', reason: 'partitions the Debian image' },
  { name: 'dosfstools', reason: "the Debian image's EFI system partition" },
  { name: 'mtools', reason: "fills the Debian image's EFI system partition" },
  { name: 'e2fsprogs', reason: "file systems of containers, their templates, and the Debian image's" },
  { name: 'slapd', reason: 'a real directory for tests of signing in', services: ['slapd.service'] },
  {
    ...{ name: 'samba-ad-dc', reason: 'a real Active Directory for tests of signing in' },
    services: ['samba-ad-dc.service', 'smbd.service', 'nmbd.service', 'winbind.service'],
  },
  { name: 'samba-ad-provision', reason: 'makes the domain of that Active Directory' },
  { name: 'ldap-utils', reason: 'changes those directories in tests' },
  { name: 'bind9-dnsutils', reason: 'nsupdate: writes into zones the proofs by which certificates are given' },
  { name: 'knot', reason: 'a real name server for tests of those proofs', services: ['knot.service'] },
  { name: 'pebble', reason: "a real authority for tests of certificates: Let's Encrypt's own for that", ifThere: true },
  { name: 'chromium', reason: 'tests the web interface as people use it' },
  { name: 'gcc', reason: 'compiles the small C helpers' },
  { name: 'libc6-dev', reason: 'compiles the small C helpers' },
  { name: 'libfuse3-dev', reason: 'the library that stead-disk is linked with' },
  { name: 'libssl-dev', reason: 'the library that stead-storage-gate is linked with' },
]

export function missingDebianPackages(): readonly DebianPackage[] {
  const installed = new Map<string, string>()
  // dpkg-query fails when one of the names is unknown, and still lists the others: the file it reads is read here.
  for (const stanza of readFileSync('/var/lib/dpkg/status', 'utf8').split('\n\n')) {
    if (!stanza.includes('\nStatus: install ok installed')) continue
    const name = /^Package: (.+)$/m.exec(stanza)?.[1]
    const version = /^Version: (.+)$/m.exec(stanza)?.[1]
    if (name !== undefined && version !== undefined) installed.set(name, version)
  }
  return PACKAGES.filter((wanted) => {
    const version = installed.get(wanted.name)
    if (version === undefined && isNowhere(wanted)) return false
    return version === undefined || majorOf(version) < (wanted.major ?? 0)
  })
}

/** As far as apt knows; before it has ever looked it knows of nothing. */
function isNowhere({ name, ifThere }: DebianPackage): boolean {
  if (ifThere === undefined || !readdirSync('/var/lib/apt/lists').some((file) => file.includes('_Packages')))
    return false
  return !/Candidate: \d/.test(outputOf('apt-cache', ['policy', name]) ?? '')
}

export async function installDebianPackages(missing: readonly DebianPackage[]): Promise<void> {
  process.stdout.write('Debian packages to install:\n')
  for (const { name, reason } of missing) process.stdout.write(`  ${name.padEnd(16)} ${reason}\n`)
  if (process.getuid?.() !== 0) {
    throw new DevFailure(
      `only root can install them: run this as root, or apt-get install ${missing.map((p) => p.name).join(' ')}`,
    )
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  await mustRun('apt-get', ['update', '-qq'], env)
  const packagesToGet = missing.filter((wanted) => !isNowhere(wanted))
  const backports = packagesToGet.some((wanted) => !offersEnough(wanted)) ? await enableBackports(env) : undefined
  await withoutStartingServices(async () => {
    const groups = [
      { from: [], packages: packagesToGet.filter(offersEnough) },
      { from: ['-t', backports ?? ''], packages: packagesToGet.filter((wanted) => !offersEnough(wanted)) },
    ]
    for (const { from, packages } of groups) {
      if (packages.length === 0) continue
      await mustRun(
        'apt-get',
        ['install', '-qq', '-y', '--no-install-recommends', ...from, ...packages.map((p) => p.name)],
        env,
      )
    }
  })
  for (const { name, services = [] } of missing) {
    for (const service of services) {
      if (!existsSync(`/lib/systemd/system/${service}`)) continue
      // Otherwise it would start at the next boot and take the ports of no one's cluster.
      if (outputOf('systemctl', ['disable', service]) === undefined) {
        process.stdout.write(
          `${name} brought the service ${service}, which Stead does not use; disable it if it runs.\n`,
        )
      }
    }
  }
}

/** Whether the version that apt would choose by itself is new enough. */
function offersEnough(wanted: DebianPackage): boolean {
  if (wanted.major === undefined) return true
  const candidate = /Candidate: (\S+)/.exec(outputOf('apt-cache', ['policy', wanted.name]) ?? '')?.[1]
  return candidate !== undefined && candidate !== '(none)' && majorOf(candidate) >= wanted.major
}

/** `1:10.0.2+ds-2` has the major version 10. */
function majorOf(version: string): number {
  return Number(/^(?:\d+:)?(\d+)/.exec(version)?.[1] ?? 0)
}

/** Adds this release's backports from the mirror that the machine already uses. The value is the suite's name. */
async function enableBackports(env: NodeJS.ProcessEnv): Promise<string> {
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? ''
  const suite = `${codename}-backports`
  if (outputOf('apt-cache', ['policy'])?.includes(`n=${suite}`) === true) return suite
  const mirror = mirrorOf(codename)
  if (mirror === undefined) {
    throw new DevFailure(
      `QEMU 10 is needed and this Debian's sources do not show where ${suite} could be: add it to them`,
    )
  }
  const signed = mirror.signedBy === undefined ? '' : `Signed-By: ${mirror.signedBy}\n`
  const source = `Types: deb\nURIs: ${mirror.uri}\nSuites: ${suite}\nComponents: main\n${signed}`
  const file = '/etc/apt/sources.list.d/stead-backports.sources'
  writeFileSync(file, source)
  process.stdout.write(`Added ${file} (${suite}, for QEMU 10)\n`)
  await mustRun('apt-get', ['update', '-qq'], env)
  return suite
}

interface Mirror {
  readonly uri: string
  readonly signedBy?: string
}

/** Where the machine gets its release from: its deb822 files, or the older one-line format. */
function mirrorOf(codename: string): Mirror | undefined {
  const folder = '/etc/apt/sources.list.d'
  const names = existsSync(folder) ? readdirSync(folder).map((name) => `${folder}/${name}`) : []
  for (const file of ['/etc/apt/sources.list', ...names]) {
    if (!/\.(list|sources)$/.test(file) || !existsSync(file)) continue
    const text = readFileSync(file, 'utf8')
    const found = file.endsWith('.list') ? mirrorFromLines(text, codename) : mirrorFromStanzas(text, codename)
    if (found !== undefined) return found
  }
  return undefined
}

/** The deb822 format: `URIs:`, `Suites:`, `Signed-By:`. */
export function mirrorFromStanzas(text: string, codename: string): Mirror | undefined {
  for (const stanza of text.replaceAll(/^#.*\n/gm, '').split(/\n\s*\n/)) {
    const field = (name: string) => new RegExp(`^${name}:\\s*(\\S.*)$`, 'mi').exec(stanza)?.[1]?.trim()
    const uri = field('URIs')?.split(/\s+/)[0]
    if (uri === undefined || field('Suites')?.split(/\s+/).includes(codename) !== true) continue
    const signedBy = field('Signed-By')
    return { uri, ...(signedBy === undefined ? {} : { signedBy }) }
  }
  return undefined
}

/** The older format: `deb [signed-by=FILE] URI SUITE COMPONENT...`. */
export function mirrorFromLines(text: string, codename: string): Mirror | undefined {
  for (const [, options = '', uri = '', suite] of text.matchAll(/^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)/gm)) {
    if (suite !== codename) continue
    const signedBy = /signed-by=(\S+)/.exec(options)?.[1]
    return { uri, ...(signedBy === undefined ? {} : { signedBy }) }
  }
  return undefined
}

const POLICY = '/usr/sbin/policy-rc.d'
const POLICY_TEXT =
  "#!/bin/sh\n# Written by Stead's ./dev setup while it installs packages; may be deleted.\nexit 101\n"

/** Debian starts a service when its package is installed, unless this file says no. One that exists is respected. */
async function withoutStartingServices(work: () => Promise<void>): Promise<void> {
  // One of ours that is still there was left by a setup that was killed.
  const ours = !existsSync(POLICY) || readFileSync(POLICY, 'utf8') === POLICY_TEXT
  if (ours) writeFileSync(POLICY, POLICY_TEXT, { mode: 0o755 })
  try {
    await work()
  } finally {
    if (ours) rmSync(POLICY, { force: true })
  }
}
