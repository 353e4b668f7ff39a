import classes from './tags.module.css'

/** `oneLine`: what finds no room is cut off, as in a row of a table. */
export function Tags({ tags, oneLine }: { tags: readonly string[]; oneLine?: true }) {
  return (
    <span className={classes.tags} data-one-line={oneLine} title={oneLine && tags.join(', ')}>
      {tags.map((tag) => (
        <span key={tag} className={classes.tag}>
          {tag}
        </span>
      ))}
    </span>
  )
}
