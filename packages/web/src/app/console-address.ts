/** A console's own window shows nothing of the cluster but one guest. */
export function isConsoleWindow(path: string): boolean {
  return path.startsWith('/console/')
}
