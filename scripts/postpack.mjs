// npm runs this after it packed the main package.
import { restoreCheckout } from './published-manifest.mjs'

restoreCheckout()
