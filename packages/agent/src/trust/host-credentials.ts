/**
 * What this host shows to the others and by what it knows them: its own key and certificate, the authority, and what
 * has been revoked. Held in memory, so that a full disk or a file that is just replaced disturbs no connection.
 */
import {
  checkServerIdentity,
  createSecureContext,
  type PeerCertificate,
  type SecureContext,
  type Server,
  type TLSSocket,
} from 'node:tls'
import { readMaterial, type TlsMaterial } from './trust-files.ts'

const MINIMUM = { minVersion: 'TLSv1.3' } as const

export class HostCredentials {
  #material: TlsMaterial
  /** What a connection needs of it, read once. */
  #context: SecureContext | undefined
  #revoked: ReadonlySet<string>
  readonly #listeners = new Set<() => void>()

  constructor(material: TlsMaterial, revokedSerials: readonly string[] = []) {
    this.#material = material
    this.#revoked = setOf(revokedSerials)
  }

  /** Throws when the host has no certificate: it then is a host of no cluster. */
  static load(stateDir: string): HostCredentials {
    return new HostCredentials(readMaterial(stateDir))
  }

  get material(): TlsMaterial {
    return this.#material
  }

  /** A renewed certificate: shown from the next connection on. */
  renew(material: TlsMaterial): void {
    this.#material = material
    this.#context = undefined
    this.#tell()
  }

  /** From now on these are nobody; connections of theirs that are open are ended. */
  revoke(serials: readonly string[]): void {
    if (serials.every((serial) => this.#revoked.has(serial)) && serials.length === this.#revoked.size) return
    this.#revoked = setOf(serials)
    this.#tell()
  }

  isRevoked(serial: string): boolean {
    return this.#revoked.has(serial.toLowerCase())
  }

  /** For a connection to the host of that name, at whatever address. */
  clientOptions(host: string) {
    this.#context ??= createSecureContext({ ...MINIMUM, ...this.#material })
    return {
      secureContext: this.#context,
      servername: host,
      checkServerIdentity: (name: string, certificate: PeerCertificate) => this.checkHost(name, certificate),
    }
  }

  /** What is wrong with a certificate as that of the host of this name or address, apart from who signed it. */
  checkHost(nameOrAddress: string, certificate: PeerCertificate): Error | undefined {
    return this.isRevoked(certificate.serialNumber)
      ? new Error(`the certificate of ${nameOrAddress} is revoked`)
      : checkServerIdentity(nameOrAddress, certificate)
  }

  /** For a server that only hosts may talk to; see `guard` too. */
  serverOptions() {
    return { ...MINIMUM, ...this.#material, requestCert: true, rejectUnauthorized: true }
  }

  /** Ends connections of who is revoked, when they come and when they are there, and follows renewals. */
  guard(server: Server): void {
    const open = new Map<TLSSocket, string>()
    server.on('secureConnection', (socket: TLSSocket) => {
      const { serialNumber } = socket.getPeerCertificate()
      if (serialNumber === undefined || this.isRevoked(serialNumber)) return void socket.destroy()
      open.set(socket, serialNumber)
      socket.once('close', () => open.delete(socket))
    })
    this.#listeners.add(() => {
      server.setSecureContext({ ...MINIMUM, ...this.#material })
      for (const [socket, serial] of open) if (this.isRevoked(serial)) socket.destroy()
    })
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

function setOf(serials: readonly string[]): ReadonlySet<string> {
  return new Set(serials.map((serial) => serial.toLowerCase()))
}
