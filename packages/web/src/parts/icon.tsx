/** The interface's own drawings, on a grid of 24 with strokes of 2. A picture always stands beside or behind a word. */
const PATHS = {
  overview: 'M3 13h8V3H3zM13 21h8V11h-8zM3 21h8v-4H3zM13 7h8V3h-8z',
  host: 'M3 4h18v6H3zM3 14h18v6H3zM7 7h.01M7 17h.01',
  vm: 'M3 4h18v12H3zM8 20h8M12 16v4',
  ct: 'M12 3l8 4.500v9L12 21l-8-4.500v-9zM12 12l8-4.500M12 12v9M12 12L4 7.500',
  volume: 'M4 6a8 3 0 0 0 16 0a8 3 0 0 0-16 0v12a8 3 0 0 0 16 0V6M4 12a8 3 0 0 0 16 0',
  operation: 'M3 12h4l3 8l4-16l3 8h4',
  event: 'M12 7v5l3 2M12 21a9 9 0 1 0 0-18a9 9 0 0 0 0 18',
  search: 'M10 17a7 7 0 1 0 0-14a7 7 0 0 0 0 14M21 21l-6-6',
  plus: 'M12 5v14M5 12h14',
  play: 'M7 4v16l13-8z',
  stop: 'M6 6h12v12H6z',
  restart: 'M20 11a8 8 0 1 0-2 6M20 5v6h-6',
  move: 'M4 12h16M14 6l6 6l-6 6',
  camera: 'M4 8h3l2-3h6l2 3h3v11H4zM12 16a3 3 0 1 0 0-6a3 3 0 0 0 0 6',
  trash: 'M4 7h16M10 11v6M14 11v6M6 7l1 13h10l1-13M9 7V4h6v3',
  menu: 'M4 6h16M4 12h16M4 18h16',
  right: 'M9 6l6 6l-6 6',
  down: 'M6 9l6 6l6-6',
  up: 'M6 15l6-6l6 6',
  sun: 'M12 16a4 4 0 1 0 0-8a4 4 0 0 0 0 8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500L19 19M5 19l1.500-1.500M17.500 6.500L19 5',
  moon: 'M20 14.500A8.500 8.500 0 0 1 9.500 4A8.500 8.500 0 1 0 20 14.500z',
  user: 'M12 12a4 4 0 1 0 0-8a4 4 0 0 0 0 8M4 21v-1a6 6 0 0 1 6-6h4a6 6 0 0 1 6 6v1',
  shield: 'M12 3l8 3v6c0 4.500-3.500 7.500-8 9c-4.500-1.500-8-4.500-8-9V6z',
  check: 'M5 12.500l4.500 4.500L19 7',
  warning: 'M12 4l9.500 16h-19zM12 10v4M12 17h.01',
  close: 'M6 6l12 12M18 6L6 18',
  tag: 'M4 4h7l9 9l-7 7l-9-9zM8 8h.01',
  key: 'M8 19a4 4 0 1 0 0-8a4 4 0 0 0 0 8M11 12l9-9M17 6l2.500 2.500M14 9l2 2',
  memory: 'M4 8h16v8H4zM8 8v8M12 8v8M16 8v8M7 16v3M12 16v3M17 16v3',
  cpu: 'M7 7h10v10H7zM10 10h4v4h-4zM9 3v4M15 3v4M9 17v4M15 17v4M3 9h4M3 15h4M17 9h4M17 15h4',
  network: 'M9 3h6v6H9zM3 15h6v6H3zM15 15h6v6h-6zM12 9v3M6 15v-3h12v3',
  map: 'M3 6l6-3l6 3l6-3v15l-6 3l-6-3l-6 3zM9 3v15M15 6v15',
  terminal: 'M3 4h18v16H3zM7 9l3 3l-3 3M13 15h4',
  fullScreen: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  window: 'M14 4h6v6M20 4l-9 9M11 5H5v14h14v-6',
  fit: 'M3 5h18v14H3zM8 10h8v4H8z',
  actualSize: 'M3 5h18v14H3zM9 9v6M15 9v6M12 11h.01M12 13.500h.01',
  save: 'M12 4v11M7 10l5 5l5-5M4 20h16',
  crown: 'M4 18h16M4 15l-1-9l5 4l4-6l4 6l5-4l-1 9z',
} as const
export type IconName = keyof typeof PATHS

export function Icon({ name, size = 18, className }: { name: IconName; size?: number; className?: string }) {
  return (
    <svg
      className={className}
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.8}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  )
}
