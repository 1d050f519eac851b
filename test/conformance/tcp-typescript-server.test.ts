import { typescriptCodec } from '../../ts/codec/index.ts'
import { describeBusConformance } from './suite.ts'
import { requireNative, tcpBacking } from './tcp-backing.ts'

describeBusConformance(
  'a bus over TCP, the TypeScript codec on the server',
  tcpBacking({ codec: typescriptCodec }, { codec: requireNative() }),
)
