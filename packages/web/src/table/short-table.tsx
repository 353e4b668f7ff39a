/** A table of few rows that stands in a panel, as wide as it has to be; long lists are `data-table.tsx`. */
import type { ReactNode } from 'react'
import classes from './short-table.module.css'

export interface ShortColumn {
  readonly text: string
  /** Its cells are figures (`data-figure`): at the end of the column, digits below digits. */
  readonly isFigure?: true
  readonly className?: string | undefined
}

export interface ShortTableProps {
  readonly label: string
  readonly columns: readonly (string | ShortColumn)[]
  /** Rows; one that stands out has `data-chosen`. */
  readonly children: ReactNode
}

export function ShortTable({ label, columns, children }: ShortTableProps) {
  const heads = columns.map((column) => (typeof column === 'string' ? { text: column } : column))
  return (
    // Wider than the page at times: it must be reached by the keyboard to be scrolled.
    <div className={classes.scrolls} tabIndex={0} role="region" aria-label={label}>
      <table className={classes.table}>
        <thead>
          <tr>
            {heads.map(({ text, isFigure, className }: ShortColumn) => (
              <th key={text} scope="col" className={className} data-figure={isFigure}>
                {text}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  )
}
