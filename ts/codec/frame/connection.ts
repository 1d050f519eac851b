import type { Connect, ConnectAck, ConnectError, Disconnect, Frame, Ping, Pong, Version } from '../../protocol/index.ts'
import { FrameType } from '../../protocol/index.ts'
import { measureBlock, measureU16, measureU32 } from '../measure.ts'
import type { Reader } from '../reader.ts'
import type { Writer } from '../writer.ts'
import { measureRefusal, readRefusal, writeRefusal } from './refusal.ts'

/** Connect, ConnectAck, ConnectError, Disconnect, Ping, Pong (spec wire §4, 0x01 to 0x04, 0x13, 0x14). */
export type ConnectionFrame = Connect | ConnectAck | ConnectError | Disconnect | Ping | Pong

/** Payload bytes; checks the values. */
export function measureConnection(frame: ConnectionFrame): number {
  switch (frame.type) {
    case 'Ping':
    case 'Pong':
    case 'Disconnect':
      return 0
    case 'Connect':
      return (
        measureVersion('Connect', 'minVersion', frame.minVersion) +
        measureVersion('Connect', 'maxVersion', frame.maxVersion) +
        measureBlock('Connect', 'authToken', frame.authToken)
      )
    case 'ConnectAck':
      return (
        measureVersion('ConnectAck', 'selectedVersion', frame.selectedVersion) +
        measureU32('ConnectAck', 'capabilities', frame.capabilities)
      )
    case 'ConnectError':
      return measureRefusal('ConnectError', frame)
  }
}

/** Writes a measured payload. */
export function writeConnection(writer: Writer, frame: ConnectionFrame): void {
  switch (frame.type) {
    case 'Ping':
    case 'Pong':
    case 'Disconnect':
      break
    case 'Connect':
      writeVersion(writer, frame.minVersion)
      writeVersion(writer, frame.maxVersion)
      writer.block(frame.authToken)
      break
    case 'ConnectAck':
      writeVersion(writer, frame.selectedVersion)
      writer.u32(frame.capabilities)
      break
    case 'ConnectError':
      writeRefusal(writer, frame)
      break
  }
}

/** Reads the payload of a type of this family; null for any other type. */
export function readConnection(reader: Reader, typeId: number, flags: number, streamId: number): Frame | null {
  switch (typeId) {
    case FrameType.Connect: {
      const minVersion = readVersion(reader, 'minVersion')
      const maxVersion = readVersion(reader, 'maxVersion')
      const authToken = reader.block('authToken')
      return { type: 'Connect', flags, streamId, minVersion, maxVersion, authToken }
    }
    case FrameType.ConnectAck: {
      const selectedVersion = readVersion(reader, 'selectedVersion')
      return { type: 'ConnectAck', flags, streamId, selectedVersion, capabilities: reader.u32('capabilities') }
    }
    case FrameType.ConnectError: {
      const { reasonCode, message } = readRefusal(reader)
      return { type: 'ConnectError', flags, streamId, reasonCode, message }
    }
    case FrameType.Disconnect:
      return { type: 'Disconnect', flags, streamId }
    case FrameType.Ping:
      return { type: 'Ping', flags, streamId }
    case FrameType.Pong:
      return { type: 'Pong', flags, streamId }
    default:
      return null
  }
}

function measureVersion(type: string, field: string, version: Version): number {
  return measureU16(type, `${field}.major`, version.major) + measureU16(type, `${field}.minor`, version.minor)
}

function writeVersion(writer: Writer, version: Version): void {
  writer.u16(version.major)
  writer.u16(version.minor)
}

function readVersion(reader: Reader, field: string): Version {
  return { major: reader.u16(field), minor: reader.u16(field) }
}
