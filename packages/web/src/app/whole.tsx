import { Outlet, useRouterState } from '@tanstack/react-router'
import { Frame } from '../frame/frame.tsx'
import { isConsoleWindow } from './console-address.ts'

/** The frame with a page in it, or the one page that has a window of its own. */
export function Whole() {
  const isAlone = useRouterState({ select: ({ location }) => isConsoleWindow(location.pathname) })
  return isAlone ? <Outlet /> : <Frame />
}
