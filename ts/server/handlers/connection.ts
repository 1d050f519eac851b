import { createHash, timingSafeEqual } from 'node:crypto'
import { ProtocolError } from '../../errors.ts'
import type { Connect, Frame, Version } from '../../protocol/index.ts'
import { ALL_CAPABILITIES, CONNECT_EXTENSIONS, FrameType, ReasonCode } from '../../protocol/index.ts'
import type { SessionContext } from '../context.ts'

/** What this server speaks (spec post-0.2.1 §1). */
const SUPPORTED: readonly Version[] = [{ major: 1, minor: 0 }]

/** The frames without fields that a server sends. */
export const PONG: Frame = { type: 'Pong', flags: 0, streamId: 0 }
export const PING: Frame = { type: 'Ping', flags: 0, streamId: 0 }
export const DISCONNECT: Frame = { type: 'Disconnect', flags: 0, streamId: 0 }

/**
 * Admits a peer and returns the capabilities granted to it: the token first, then the version (spec post-0.2.1 §1.3).
 * @throws ProtocolError `AuthenticationFailure`, `VersionMismatch`.
 */
export function connect(context: SessionContext, frame: Connect): number {
  const { codec, authDigest } = context.options
  if (authDigest !== null && !presents(frame.authToken, authDigest)) {
    const text = 'The auth token was rejected; connect with the token that this server was started with.'
    throw new ProtocolError('AuthenticationFailure', ReasonCode.AuthenticationFailure, text)
  }
  const selectedVersion = codec.negotiateVersion(frame.minVersion, frame.maxVersion, SUPPORTED)
  const capabilities = (frame.flags & CONNECT_EXTENSIONS) !== 0 ? ALL_CAPABILITIES : 0
  context.output.reply({ type: 'ConnectAck', flags: 0, streamId: 0, selectedVersion, capabilities })
  return capabilities
}

/**
 * Before the handshake a peer may connect, ping and leave. Types that the protocol does not know are skipped then as ever.
 * @throws ProtocolError `InvalidStateTransition`.
 */
export function checkBeforeConnect(typeId: number): void {
  const allowed = typeId === FrameType.Connect || typeId === FrameType.Ping || typeId === FrameType.Disconnect
  const known = typeId >= FrameType.Connect && typeId <= FrameType.Deliver
  if (known && !allowed) {
    const text = `A frame of type 0x${typeId.toString(16).padStart(2, '0')} came before Connect; connect first.`
    throw new ProtocolError('InvalidStateTransition', ReasonCode.InvalidStateTransition, text)
  }
}

/** The error of a second Connect. */
export function connectedAlready(): ProtocolError {
  const text = 'This connection is connected already; Connect is sent once.'
  return new ProtocolError('InvalidStateTransition', ReasonCode.InvalidStateTransition, text)
}

/** Compares digests, so that neither the content nor the length of the token shows in the time that it takes. */
function presents(token: Uint8Array, digest: Buffer): boolean {
  return timingSafeEqual(createHash('sha256').update(token).digest(), digest)
}
