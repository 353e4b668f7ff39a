/** The byte stream under an NBD connection: a unix socket, TCP, or TLS with the key of one export over TCP. */
import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { ExportKey } from '@stead/core/ports/volume-host.ts'

export type NbdEndpoint =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly address: string; readonly port: number; readonly key?: ExportKey }

export type Receive = (bytes: Buffer) => void

const RECEIVE_BUFFER_BYTES = 256 * 1024

/** What comes is in `receive`'s hands only until that returns. */
export function openSocket(endpoint: NbdEndpoint, receive: Receive): Socket {
  if (endpoint.kind === 'tcp' && endpoint.key) {
    // A socket that has given itself a buffer cannot be taken over by TLS.
    const socket = connect({ host: endpoint.address, port: endpoint.port, noDelay: true })
    return socket.on('data', receive)
  }
  const onread = {
    buffer: Buffer.allocUnsafe(RECEIVE_BUFFER_BYTES),
    callback: (length: number, buffer: Uint8Array): boolean => {
      receive(Buffer.from(buffer.buffer, buffer.byteOffset, length))
      return true
    },
  }
  return endpoint.kind === 'unix'
    ? connect({ path: endpoint.path, onread })
    : connect({ host: endpoint.address, port: endpoint.port, noDelay: true, onread })
}

/**
 * Goes on in TLS, once both sides have agreed to. Nobody shows a certificate: only who has made the key, and whom it was
 * given to, can have it. Rejects when the server does not know the key, or does not show that it has it.
 */
export function continueInTls(socket: Socket, { identity, secret }: ExportKey, receive: Receive): Promise<TLSSocket> {
  socket.removeAllListeners('data')
  const secured = connectTls({
    socket,
    minVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_128_GCM_SHA256',
    pskCallback: () => ({ psk: Buffer.from(secret, 'hex'), identity }),
    checkServerIdentity: () => undefined,
  })
  return new Promise((resolve, reject) => {
    secured.once('error', reject)
    secured.once('close', () => reject(new Error('the server ended the handshake')))
    secured.once('secureConnect', () => {
      secured.off('error', reject)
      resolve(secured.on('data', receive))
    })
  })
}
